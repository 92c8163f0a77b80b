// Package runner is the life of a job: plan, launch, prove, work, collect,
// settle. Its order is the product's promise, so that it is enforced by types:
// Launch gives a Started, only its Prove gives a Proven, and work is a method of
// Proven alone.
//
// Whatever touches the outside goes through Run.effect, which writes an
// obligation into the ledger first. Settle undoes them, newest first; what it
// can't undo stays in the ledger for Reap, which any later process can call.
package runner
