// Package escape is the sandbox-escape suite: attacks that are made from inside a
// bottle and judged from outside.
//
// # Who judges
//
// The guest's half (package attack) reports what each attempt met. That is a hint.
// A case is held if every attempt failed fast, the door's own log shows the
// refusals where a door had to give them, no stand-in or collector on the host got
// the case's canary in any encoding, and the case's twin, the legitimate form of
// the same thing, succeeded in the same bottle. A suite in which nothing gets out
// because everything is broken fails.
//
// # What it does not promise
//
// It samples classes of attacks; what no case tries is not shown. Cases that wait
// for a defence are listed as pending and are in neither tier.
package escape
