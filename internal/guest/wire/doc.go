// Package wire is the protocol of the control connection between the supervisor
// and process 1 of a guest: frames, and streams with credit. A Session is one
// end of it; both ends use the same code.
//
// A frame is the length of what follows (4 bytes, big endian, at most MaxFrame),
// its type (1 byte), a channel (4 bytes, big endian) and the payload. A stream is
// one channel in one direction. Its sender may have Window bytes under way, and
// goes on when the receiver has granted more: one slow reader stops its own
// stream and no other, and what a session holds in memory is bounded by Window
// for each stream that is open on this side.
//
// The peer is never trusted. Only this side opens channels; a frame that breaks a
// rule (a length or type that doesn't exist, more data than was granted, data
// after the end, credit for what was never sent) ends the session with
// ErrProtocol. What frames mean, apart from those of streams, is the business of
// who uses the session: see the guest and control packages.
package wire
