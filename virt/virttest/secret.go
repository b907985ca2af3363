package virttest

import "context"

// DefineSecret keeps a secret.
func (h *Host) DefineSecret(ctx context.Context, uuid, _ string, value []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secrets == nil {
		h.secrets = map[string][]byte{}
	}
	h.secrets[uuid] = value
	return ctx.Err()
}

// ForgetSecret forgets a secret, if it is there.
func (h *Host) ForgetSecret(ctx context.Context, uuid string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.secrets, uuid)
	return ctx.Err()
}

// Secrets counts what is kept.
func (h *Host) Secrets() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.secrets)
}
