//go:build cgo

/* One batch of NBD commands, kept in flight by libnbd, with every byte of every
 * reply counted. Nothing here calls back into Go. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

enum {
	DEPTH = 8,                  /* requests in flight */
	MAX_PIECES = 1 << 16,       /* of one reply that do not join up; 512 bytes each of the largest read */
	MAX_STRETCHES = 1 << 25,    /* of one context in one call: 256 MiB */
};

/* Largest block status query: below 4 GiB and aligned to any block size. */
#define MAX_STATUS UINT64_C(0xffff0000)

struct piece {
	uint64_t start, end; /* within the request */
};

/* What is known of a request in flight. */
struct slot {
	struct batch *batch;
	const struct wire_request *request;
	bool busy;
	uint64_t seen; /* bytes that came, 0 to length */
	struct piece *pieces;
	size_t count, capacity;
};

struct batch {
	struct nbd_handle *h;
	int verb;
	const struct wire_request *requests;
	size_t total, issued, finished;
	bool failed;
	struct wire_error *error;
	struct slot slots[DEPTH];
	/* WIRE_STATUS only. */
	struct wire_context *contexts;
	uint64_t size;
};

/* fail keeps the first failure. A NULL format leaves the number to speak. It
 * returns -1, for the callbacks. */
static int fail(struct batch *b, const struct wire_request *r, int number, const char *format, ...)
{
	if (b->failed)
		return -1;
	b->failed = true;
	b->error->offset = r->offset;
	b->error->length = r->length;
	b->error->number = number;
	b->error->text[0] = '\0';
	if (format != NULL) {
		va_list args;
		va_start(args, format);
		vsnprintf(b->error->text, sizeof b->error->text, format, args);
		va_end(args);
	}
	return -1;
}

/* explain copies libnbd's own account of the last failed call of this thread,
 * without the name of the function that it starts with. */
static void explain(struct wire_error *error)
{
	const char *text = nbd_get_error();
	const char *colon;

	if (text == NULL)
		text = "libnbd gives no reason";
	if (strncmp(text, "nbd_", 4) == 0 && (colon = strstr(text, ": ")) != NULL)
		text = colon + 2;
	error->number = nbd_get_errno();
	snprintf(error->text, sizeof error->text, "%s", text);
}

static bool grow(void **array, size_t *capacity, size_t size)
{
	size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
	void *p = realloc(*array, wanted * size);
	if (p == NULL)
		return false;
	*array = p;
	*capacity = wanted;
	return true;
}

/* on_chunk counts a piece of data or a hole. Pieces in rising order join up as
 * they come, so that there is one; others are sorted at the end. */
static int on_chunk(void *opaque, const void *data, size_t length, uint64_t offset, unsigned status,
		    int *error)
{
	struct slot *s = opaque;
	const struct wire_request *r = s->request;
	uint64_t start = offset - r->offset;

	(void)data;
	if (status == LIBNBD_READ_ERROR)
		return 0; /* the command fails by itself */
	*error = EPROTO;
	if (status != LIBNBD_READ_DATA && status != LIBNBD_READ_HOLE)
		return fail(s->batch, r, EPROTO, "reply with a chunk of unknown type %u", status);
	if (length == 0 || offset < r->offset || start > r->length || length > r->length - start)
		return fail(s->batch, r, EPROTO, "reply with %zu bytes at %" PRIu64 ", which is outside the request",
			    length, offset);
	if (length > r->length - s->seen)
		return fail(s->batch, r, EPROTO, "reply with more bytes than requested");
	s->seen += length;
	if (s->count > 0 && s->pieces[s->count - 1].end == start) {
		s->pieces[s->count - 1].end += length;
	} else {
		if (s->count == MAX_PIECES)
			return fail(s->batch, r, EPROTO, "reply in more than %d pieces out of order", MAX_PIECES);
		if (s->count == s->capacity && !grow((void **)&s->pieces, &s->capacity, sizeof *s->pieces))
			return fail(s->batch, r, ENOMEM, NULL);
		s->pieces[s->count++] = (struct piece){start, start + length};
	}
	*error = 0;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct piece *p = a, *q = b;
	return (p->start > q->start) - (p->start < q->start);
}

/* check_pieces fails unless the pieces tile the request. Their sum is at most
 * its length, so they do if the sum is right and none overlaps. */
static void check_pieces(struct slot *s)
{
	const struct wire_request *r = s->request;

	if (s->seen != r->length) {
		fail(s->batch, r, EPROTO, "reply says done after %" PRIu64 " of %" PRIu64 " bytes", s->seen,
		     r->length);
		return;
	}
	qsort(s->pieces, s->count, sizeof *s->pieces, by_start);
	for (size_t i = 1; i < s->count; i++)
		if (s->pieces[i].start < s->pieces[i - 1].end) {
			fail(s->batch, r, EPROTO, "reply with the byte at %" PRIu64 " twice",
			     r->offset + s->pieces[i].start);
			return;
		}
}

static void check_contexts(struct slot *s)
{
	for (struct wire_context *c = s->batch->contexts; c < s->batch->contexts + 2; c++)
		if (c->name != NULL && !c->answered)
			fail(s->batch, s->request, EPROTO, "reply says done without %s", c->name);
}

/* on_done runs once for every command, also when the connection dies. */
static int on_done(void *opaque, int *error)
{
	struct slot *s = opaque;

	s->busy = false;
	s->batch->finished++;
	if (*error == ENOTCONN) /* never a server's own: libnbd knows no such reply */
		fail(s->batch, s->request, ENOTCONN, "the server closed the connection");
	else if (*error != 0)
		fail(s->batch, s->request, *error, NULL);
	else if (s->batch->verb == WIRE_READ)
		check_pieces(s);
	else if (s->batch->verb == WIRE_STATUS)
		check_contexts(s);
	return 1; /* libnbd forgets the command */
}

/* add_stretch notes that a context has a bit up to end. */
static int add_stretch(struct batch *b, const struct wire_request *r, struct wire_context *c, uint64_t end,
		       bool set)
{
	uint64_t value = end << 1 | set;

	c->end = end;
	if (c->count > 0 && (c->stretches[c->count - 1] & 1) == set) {
		c->stretches[c->count - 1] = value;
		return 0;
	}
	if (c->count == MAX_STRETCHES)
		return fail(b, r, EPROTO, "more than %d extents of %s: ask for a smaller range", MAX_STRETCHES,
			    c->name);
	if (c->count == c->capacity && !grow((void **)&c->stretches, &c->capacity, sizeof *c->stretches))
		return fail(b, r, ENOMEM, NULL);
	c->stretches[c->count++] = value;
	return 0;
}

/* on_extents takes the answer of one context, pairs of length and flags. What
 * the context covered already is skipped: the other one asked again. */
static int on_extents(void *opaque, const char *name, uint64_t at, uint32_t *entries, size_t count,
		      int *error)
{
	struct slot *s = opaque;
	struct batch *b = s->batch;
	const struct wire_request *r = s->request;
	struct wire_context *c = b->contexts;

	*error = EPROTO;
	while (c < b->contexts + 2 && (c->name == NULL || strcmp(c->name, name) != 0))
		c++;
	if (c == b->contexts + 2)
		return fail(b, r, EPROTO, "reply for %s, which was not asked for", name);
	if (c->answered)
		return fail(b, r, EPROTO, "reply with %s twice", name);
	c->answered = true;
	if (count == 0 || count % 2 != 0 || at != r->offset)
		return fail(b, r, EPROTO, "malformed reply for %s", name);
	for (size_t i = 0; i < count; i += 2) {
		uint64_t length = entries[i];
		/* A bit of a bitmap that QEMU has yet to define counts as dirty. */
		bool set = c == b->contexts ? entries[i + 1] & LIBNBD_STATE_ZERO : entries[i + 1] != 0;

		if (length == 0)
			return fail(b, r, EPROTO, "an extent of %s at %" PRIu64 " is empty", name, at);
		if (at >= r->offset + r->length)
			return fail(b, r, EPROTO, "an extent of %s at %" PRIu64 " is outside the request", name, at);
		if (length > b->size - at)
			return fail(b, r, EPROTO, "an extent of %s at %" PRIu64 " reaches beyond the end", name, at);
		at += length;
		if (at > c->end && add_stretch(b, r, c, at, set) == -1)
			return -1;
	}
	*error = 0;
	return 0;
}

static int64_t start(struct slot *s)
{
	struct nbd_handle *h = s->batch->h;
	const struct wire_request *r = s->request;
	nbd_completion_callback done = {.callback = on_done, .user_data = s};
	nbd_chunk_callback chunk = {.callback = on_chunk, .user_data = s};
	nbd_extent_callback extents = {.callback = on_extents, .user_data = s};

	switch (s->batch->verb) {
	case WIRE_READ:
		return nbd_aio_pread_structured(h, r->data, r->length, r->offset, chunk, done, 0);
	case WIRE_WRITE:
		return nbd_aio_pwrite(h, r->data, r->length, r->offset, done, 0);
	case WIRE_ZERO:
		return nbd_aio_zero(h, r->length, r->offset, done, 0);
	case WIRE_STATUS:
		return nbd_aio_block_status(h, r->length, r->offset, extents, done, 0);
	default:
		return nbd_aio_flush(h, done, 0);
	}
}

/* issue sends the next request from a free slot. */
static void issue(struct batch *b)
{
	struct slot *s = b->slots;

	while (s->busy)
		s++;
	s->batch = b;
	s->request = &b->requests[b->issued++];
	s->busy = true;
	s->seen = 0;
	s->count = 0;
	if (start(s) == -1 && !b->failed) {
		fail(b, s->request, 0, NULL);
		explain(b->error);
	}
}

static void run(struct batch *b)
{
	while (b->finished < b->total && !b->failed) {
		while (!b->failed && b->issued < b->total && b->issued - b->finished < DEPTH)
			issue(b);
		if (b->failed || b->finished == b->total)
			break;
		if (nbd_poll(b->h, -1) == -1) {
			/* When the connection dies on_done hears of it first, but not why. */
			if (!b->failed)
				fail(b, &b->requests[b->issued - 1], 0, NULL);
			if (b->error->number == 0 || b->error->number == ENOTCONN)
				explain(b->error);
		}
	}
	/* Requests may be in flight still: no buffer is safe until libnbd has gone. */
	if (b->failed)
		nbd_close(b->h);
	for (struct slot *s = b->slots; s < b->slots + DEPTH; s++)
		free(s->pieces);
}

int wire_batch(struct nbd_handle *h, int verb, struct wire_request *requests, size_t total,
	       struct wire_error *error)
{
	struct batch b = {.h = h, .verb = verb, .requests = requests, .total = total, .error = error};

	run(&b);
	return b.failed ? -1 : 0;
}

int wire_extents(struct nbd_handle *h, uint64_t size, uint64_t offset, uint64_t length,
		 struct wire_context contexts[2], struct wire_error *error)
{
	const uint64_t stop = offset + length;

	contexts[0].end = contexts[1].end = offset;
	for (;;) {
		struct wire_request r = {.offset = stop};
		for (int i = 0; i < 2; i++) {
			contexts[i].answered = false;
			if (contexts[i].name != NULL && contexts[i].end < r.offset)
				r.offset = contexts[i].end;
		}
		if (r.offset == stop)
			return 0;
		r.length = stop - r.offset < MAX_STATUS ? stop - r.offset : MAX_STATUS;
		struct batch b = {.h = h, .verb = WIRE_STATUS, .requests = &r, .total = 1, .error = error,
				  .contexts = contexts, .size = size};
		run(&b);
		if (b.failed)
			return -1;
	}
}

/* inspect asks the connected handle for what it negotiated. */
static int inspect(struct nbd_handle *h, const char *bitmap, struct wire_info *info)
{
	int allocation, dirty = 0;

	info->size = nbd_get_size(h);
	info->minimum = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
	info->maximum = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
	allocation = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION);
	if (bitmap != NULL)
		dirty = nbd_can_meta_context(h, bitmap);
	info->allocation = allocation == 1;
	info->bitmap = dirty == 1;
	return info->minimum < 0 || info->maximum < 0 || allocation < 0 || dirty < 0 ? -1 : 0;
}

static int configure(struct nbd_handle *h, const char *export, const char *bitmap)
{
	if (nbd_set_export_name(h, export) == -1 ||
	    nbd_set_tls(h, LIBNBD_TLS_DISABLE) == -1 ||
	    nbd_set_strict_mode(h, LIBNBD_STRICT_MASK) == -1 ||
	    nbd_set_request_block_size(h, true) == -1 ||
#if LIBNBD_HAVE_NBD_SET_PREAD_INITIALIZE
	    nbd_set_pread_initialize(h, false) == -1 || /* every byte is counted, see on_chunk */
#endif
	    nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == -1)
		return -1;
	return bitmap == NULL ? 0 : nbd_add_meta_context(h, bitmap);
}

int wire_connect(struct nbd_handle *h, int fd, const char *export, const char *bitmap,
		 struct wire_info *info, struct wire_error *error)
{
	if (configure(h, export, bitmap) == -1)
		close(fd);
	else if (nbd_connect_socket(h, fd) == 0 && inspect(h, bitmap, info) == 0)
		return 0; /* libnbd has owned the descriptor since it was told */
	explain(error);
	nbd_close(h);
	return -1;
}

void wire_close(struct nbd_handle *h)
{
	/* Tells the server at once, and waits for nothing. */
	if (nbd_aio_is_ready(h) == 1)
		nbd_aio_disconnect(h, 0);
	nbd_close(h);
}
