// Package term is the voice of the command line: errors with hints, progress,
// tables, and the way sizes and times are written.
//
// The rules of the voice: one "error:" line, then "hint:" lines, each a whole
// instruction; no word more when all is well. What a program reads goes to
// stdout, everything for a person to stderr. Colour only underlines what the
// words already say.
//
// The package doesn't make text of a guest harmless; whoever prints such text
// takes it through neutralize first.
package term
