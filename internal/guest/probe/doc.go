// Package probe is the guest's half of the proof: it tries, from inside a fresh
// guest, every way out that the host can think of, and the judge decides from
// what became of them whether only the doors lead anywhere. The escape suite
// shares its tries.
//
// # How it is used
//
// The host makes a [Plan] of the tries that a collector waits for (package
// collector), those of [Outside], and the doors. It sends the plan to
// `bot-bottle guest probe` once for each user of the guest, reads the [Results]
// with [Decode], takes what the collectors got, and asks [Judge].
//
// # What it promises
//
// A try is the plain thing: a socket, a connect, a send. Nothing in it knows
// which backend it is in or what ought to happen. It ends by its deadline, and
// as one of four outcomes; none of them is "whatever". Judge holds only if every
// try of every user was made and failed with an error that the backend's [Errnos]
// gives for it, or met silence where the table declares that only silence is
// possible.
//
// # What it does not promise
//
// The results are the guest's words. They are worth something because no code but
// ours has run in the guest when they are taken; the collectors' hits, on the
// host, are worth something in any case. A way out that is not in the plan is
// not seen.
//
// Where confinement is broken the tries of Outside do leave the host: a handful
// of packets with a random nonce, and DNS questions for a name below .invalid, to
// documentation and private addresses, where nobody is.
package probe
