// Package dockertest starts a Docker Engine of a test's own: it shares nothing with
// one that the host may have, touches neither bridges nor packet filters, and leaves
// nothing.
package dockertest
