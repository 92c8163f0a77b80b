// Package image makes a root file system folder of an image: an archive that
// `docker save` or an OCI tool wrote, or a reference to a registry.
//
// An image is hostile input. What it promises of a folder that it has made:
// everything in it was written beneath it; no entry went through a link, so that
// no layer chose where another's files land; it holds folders, regular files and
// links and nothing else, in particular no device, socket or pipe; nothing in it
// is setuid, setgid or unreadable to others; bytes, entries, depth and names are
// within Limits, also while unpacking; and each layer is the one that the image's
// configuration names by its digest.
//
// Links are written as they stand, also those that lead out of the folder: whoever
// uses the folder as a root resolves them in it. The files' owners, extended
// attributes and special bits are not kept.
//
// What a registry answers is hostile too: it leads nobody to plain HTTP but to itself on
// loopback, what it says is bounded, and one that says nothing is given up.
//
// A Cache keeps what was unpacked; a Lease keeps the cache from removing it, and
// ends with the process that has it.
//
// What it does not promise: that what the image holds is good. It runs in the
// guest only.
package image
