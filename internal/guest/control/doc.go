// Package control is the supervisor's end of the one connection over which a
// guest gets its orders.
//
// The guest calls; Accept takes exactly one call, before any agent code runs, and
// the socket is gone then. What comes over the connection is never trusted: a
// hostile guest can end its commands with whatever exit it likes, fill their
// output as fast as the writers take it, and break the session, and nothing else.
// What it can make the supervisor hold in memory is bounded by wire.Window for
// each output of each command.
//
// Nothing here waits forever on the guest: Exec returns when its context ends, a
// short time after the command's grace at the latest, and a guest that takes no
// frame for SendTimeout has ended the session. What remains of a guest that no
// longer answers is removed by its backend.
package control
