// Package doors runs the sidecar: the process that serves the doors of one
// bottle. It has both ends, the supervisor's ([Start], [Sidecar]) and the
// process's own ([Main]).
//
// # What it promises
//
//   - The sidecar has confined itself before it is told any secret: see [Main].
//     Configure sends nothing before it has been told so.
//   - It inherits the listeners, the decision log and one end of a socket pair,
//     and nothing else: an empty environment, no other file, no terminal.
//   - It ends when its end of the socket pair is closed, however that came about:
//     Stop, or the death of the supervisor. The kernel's parent-death signal is
//     the second line.
//   - Only the users that the configuration lists may connect to a door; what
//     connected stands in each decision line as "uid/pid".
//
// # What it does not promise
//
// Who takes the sidecar over has its tokens and can use the network as the host
// does. It can't read the host's files, change any, start a program, listen, or
// connect to a Unix socket; and it can't take back what stands in the decision
// log. A supervisor that runs as an ordinary user shares its user id with the
// sidecar; then non-dumpable memory is what separates them.
//
// # The files it inherits
//
//	0    /dev/null
//	1    /dev/null
//	2    a pipe, which the supervisor bounds and makes harmless
//	3    one end of a socket pair: orders come in, answers go out
//	4    the decision log, open for appending
//	5…7  the listeners of egress, git-gate and supervise, in this order
//
// # What is spoken
//
// Over the socket pair go lines of JSON with a bounded length, an order a line
// from the supervisor, an answer a line from the sidecar. The sidecar begins with
// "hardened". The first order is "configure", and the only place where tokens
// travel. Each order has an id, which its one answer repeats; "seen", a door has
// seen the nonce of the proof, and "fault", the sidecar is about to end, are
// unasked and have none.
package doors
