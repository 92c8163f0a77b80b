// Package decode undoes the encodings of a body while it passes, so that what is in it
// can be looked at before it is passed on.
//
// It undoes what Content-Encoding declares (gzip, deflate with or without zlib's frame,
// br, zstd) and then what the first bytes give away (gzip, zlib, zstd), to MaxDepth in
// all. What comes out at each depth is given to a Sink, for what is decoded once may be
// text that only begins like an archive.
//
// It promises that
//
//   - all that the bytes before Settled hold was given to the Sink before Write came
//     back, so these can be passed on: not even a receiver that keeps what it could decode
//     of a broken stream gets anything that the Sink has not seen;
//   - what it can't undo is a *Fault, never silence: an encoding that it doesn't know or
//     that is one too deep, a stream that is broken or cut off, that grows beyond its
//     bounds, or that something follows;
//   - memory is bounded, by some MiB for each depth, and no goroutine outlives Close.
//
// It does not promise to see what lies in the middle of a body (a gzip in a part of a
// multipart, a member of a tar), what is encoded but declares nothing and has no magic
// (br, raw deflate), or what is inside of formats that are neither of transport nor
// announced by their first bytes (pictures, PDF). Archives that it knows by their first
// bytes and can't open are a Fault of the kind Unknown, with Sniffed set. A body that is
// declared as deflate and begins as zlib does is taken for zlib, as RFC 9110 says.
package decode
