/* What the Go side calls; see wire.c. Sizes and offsets are bytes. */
#ifndef VBK_NBD_WIRE_H
#define VBK_NBD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libnbd.h>

/* The numbers of the Go type verb. */
enum { WIRE_READ, WIRE_WRITE, WIRE_ZERO, WIRE_FLUSH, WIRE_STATUS };

struct wire_error {
	uint64_t offset, length; /* of the request that failed */
	int number;              /* errno, or 0 */
	char text[320];          /* empty: number says it all */
};

struct wire_info {
	int64_t size;
	int64_t minimum, maximum; /* block sizes, 0: not said */
	bool allocation, bitmap;  /* contexts that the server offers */
};

struct wire_request {
	void *data;
	uint64_t offset, length;
};

/* The answers of one context: each entry is where a stretch ends, times two,
 * plus its bit. Freed by the caller, whatever the outcome. */
struct wire_context {
	const char *name; /* NULL: not asked for */
	uint64_t *stretches;
	size_t count, capacity;
	uint64_t end;  /* covered up to here */
	bool answered; /* in the reply under way */
};

/* Each returns 0, or -1 with *error set and the handle closed: a failure ends
 * every use of the buffers. */
int wire_connect(struct nbd_handle *h, int fd, const char *export, const char *bitmap,
		 struct wire_info *info, struct wire_error *error);
int wire_batch(struct nbd_handle *h, int verb, struct wire_request *requests, size_t total,
	       struct wire_error *error);
int wire_extents(struct nbd_handle *h, uint64_t size, uint64_t offset, uint64_t length,
		 struct wire_context contexts[2], struct wire_error *error);

void wire_close(struct nbd_handle *h);

#endif
