// Package guest is the inside of a bottle: process 1 of the guest, which brings
// up the forwarders to the doors, runs what the supervisor tells it over the
// control connection, and ends the guest when that connection ends. It also has
// what the supervisor and the guest agree on: the messages of that connection,
// and the environment that makes tools use the doors.
//
// It promises that nothing is run but on the supervisor's word; that what a
// command wrote before its end is delivered before its exit is told, while
// something that it left behind with the pipe open delays that by drain at most;
// that a command which doesn't end by SIGTERM is killed with all of its session;
// and that no process outlives the control connection.
//
// It holds no secret and enforces no policy: whoever takes it over gains a
// network that is still only the doors. What a process does to leave its session
// (setsid(2) and a second fork) is not followed; such processes end with KillAll
// or with the guest.
package guest
