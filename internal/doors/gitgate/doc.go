// Package gitgate is the door through which the guest reaches git: a smart-HTTP
// mirror of each repository that the bottle declares. It refreshes a mirror before
// each fetch, and forwards a push only after all of it has been judged.
//
// # What it promises
//
//   - A fetch gives what the upstream has at that moment, or fails.
//   - A push changes only the refs that the bottle lists, never by force, and
//     carries nothing that the judge refuses. Until the judge is through, nothing of
//     a push has been sent anywhere, and the upstream has not been asked.
//   - The keys stay in this process. SSH is spoken here, with the host key that the
//     bottle pins; git's own programs are given a pipe, and have neither a network
//     nor a key.
//   - git runs on no configuration but what is on its command line, runs no hook, and
//     ends with the request it works for.
//   - Each request has a verdict line before the first byte passes, and an end line.
//
// # What it does not promise
//
// The mirror holds what the upstream has, also what the guest's user could not see
// there: a key can read the whole repository. What a scanner doesn't know passes.
package gitgate
