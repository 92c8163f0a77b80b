package egress

import (
	"cmp"
	"time"
)

// Limits bound what one bottle can take from its door. A zero field means the
// default; there is no "unlimited".
type Limits struct {
	// Connections is how many connections from the guest are held at once.
	// Beyond it, the one that has been idle for longest gives way.
	Connections int
	// HeadBytes is the longest request head, request line included.
	HeadBytes int
	// HeadTime is how long a request head, or a TLS handshake, may take from
	// its first byte.
	HeadTime time.Duration
	// KeepAliveTime is how long a connection may wait for its next request.
	KeepAliveTime time.Duration
	// IdleTime is how long a request under way may go without a byte moving in
	// either direction.
	IdleTime time.Duration
	// DialTime is how long resolving, connecting and the upstream's TLS
	// handshake may take, each.
	DialTime time.Duration
	// Certificates is how many host certificates are kept.
	Certificates int
	// ModelBody is the longest body of a request to a model's API: it is held
	// whole, to be judged.
	ModelBody int64
	// ModelMemory is what all such bodies may take together.
	ModelMemory int64
}

// The defaults of Limits.
const (
	// DefaultConnections keeps the door, with an upstream connection for each,
	// within 1024 descriptors (a common hard limit) and 50 MiB. A package
	// manager opens some 50.
	DefaultConnections = 448
	// DefaultHeadBytes is twice what nginx takes by default (4 × 8 KiB).
	DefaultHeadBytes = 64 << 10
	// DefaultHeadTime is long for a loopback peer, even in a starved guest.
	DefaultHeadTime = 10 * time.Second
	// DefaultKeepAliveTime outlasts the pools of common clients (90 s or less).
	DefaultKeepAliveTime = 2 * time.Minute
	// DefaultIdleTime is what a model may think without a byte: providers'
	// own SDKs wait 10 minutes.
	DefaultIdleTime = 10 * time.Minute
	// DefaultDialTime covers three lost SYNs (1 + 2 + 4 s) and a slow name server.
	DefaultDialTime = 15 * time.Second
	// DefaultCertificates covers the hosts of a job; more are minted anew, in
	// well under a millisecond each.
	DefaultCertificates = 256
	// DefaultModelBody is what Anthropic takes at most (request size limits).
	DefaultModelBody = 32 << 20
	// DefaultModelMemory holds four of the longest, or the conversations of a
	// hundred sub-agents at once.
	DefaultModelMemory = 4 * DefaultModelBody
)

func (l Limits) withDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, DefaultConnections)
	l.HeadBytes = cmp.Or(l.HeadBytes, DefaultHeadBytes)
	l.HeadTime = cmp.Or(l.HeadTime, DefaultHeadTime)
	l.KeepAliveTime = cmp.Or(l.KeepAliveTime, DefaultKeepAliveTime)
	l.IdleTime = cmp.Or(l.IdleTime, DefaultIdleTime)
	l.DialTime = cmp.Or(l.DialTime, DefaultDialTime)
	l.Certificates = cmp.Or(l.Certificates, DefaultCertificates)
	l.ModelBody = cmp.Or(l.ModelBody, DefaultModelBody)
	l.ModelMemory = cmp.Or(l.ModelMemory, DefaultModelMemory)
	return l
}
