// Package needles finds known secrets in a stream, in the spellings that a secret is
// usually copied in, before the bytes that end it are passed on.
//
// It promises that, however the stream is cut into chunks,
//
//   - a secret is found in plain, in base64 (wherever it begins in a group of three, in
//     either alphabet, broken into lines or not), in hex (either case, with any
//     separators that are neither letters nor digits), backwards, and each of these also
//     escaped, wholly or in part, as URLs (%41, %2541) and as JSON (\u0041, \/, \n, \x41)
//     do it, in JSON inside of JSON too;
//   - of a secret with many letters and digits, any Window of them in a row are found,
//     whatever else that is neither letter nor digit stands between them, in any case;
//   - the call of Write that gets the last byte of a match reports it;
//   - no Match, Unusable, error or String holds a byte of a secret;
//   - what can't be looked for is told by Compile, with the reason.
//
// It does not promise to find a secret that is encrypted, compressed (package decode
// undoes that before), spoken about, put together by who receives it (less than a
// Window at a time, or with letters and digits in between), rotated (rot13), in base32,
// in base64 twice, in UTF-16, or in numbers (0x41, 65, &#65;). Runs of less than
// minDistinct different characters, such as zeros in a key, are not told from those of
// anything else.
//
// # How
//
// The stream is looked at in lanes: letters and digits as they are, and letters and
// digits with escapes undone; where a secret has hardly any of these, also all bytes, in
// both ways. In the lane, base64's two alphabets are one, line breaks and separators are
// gone, and one form stands for what would be dozens of needles. All forms are one text
// with a suffix array. A lane is probed at every few bytes for a q-gram of the text in a
// Bloom filter; only what passes is compared with the text. As each Window holds a
// probe, wherever it begins, nothing is missed, and most bytes cost one table look-up. An
// Aho-Corasick automaton of the same needles would be some tens of MiB, and a miss of
// the cache for each byte.
package needles
