// Package workspace carries a checkout into a bottle and what became of it
// back out.
//
// On the way in, [Open] judges the checkout and [Checkout.Pack] writes one tar:
// a new repository that holds what HEAD reaches and nothing else, and the files
// of the working tree. The checkout itself is neither mounted nor written, and
// shares no inode with what is sent.
//
// On the way out, the guest runs [GuestDiff] and the host reads its output with
// [ParsePatch]: it is hostile data, parsed within bounds, judged by [Rules],
// and written anew by [Patch.WriteTo]. [Apply] puts it on a checkout, beneath
// its root, following no links, all of it or nothing.
//
// It promises that
//   - host git runs only on the host's own checkout, with an explicit
//     environment, on a repository whose config, hooks and attributes are ours,
//     so that nothing the checkout configures runs (see git and store);
//   - host git never runs on anything the guest wrote;
//   - a patch that was parsed without an error names only plain files inside
//     the checkout, none of which a common tool runs by itself, but for those
//     that the rules allow.
//
// It does not promise that the patch is good: a changed Makefile, test or
// package script does what it says once a person runs it. Submodules aren't
// carried, files of Git LFS travel as the pointers that are committed, and
// names that differ only in Unicode normalisation aren't seen as one.
package workspace
