// Package mutants proves that the tests find what they are there to find. It has
// a list of versions of this program that lose data or do harm, each a few lines
// away from the real one, and for each the tests that must fail.
//
//	make mutants               # or: go test -tags mutants -v ./mutants
//
// A mutant is an edit of a source file that exists only while it is built (the
// flag -overlay of the go command): the source holds no faults, not even behind a
// build tag. An edit whose text is not found is a failure, so that the list
// cannot outlive the code that it is about.
package mutants
