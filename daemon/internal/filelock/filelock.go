// Package filelock lets one process at a time have a file: the system gives the
// lock back when the process ends, however it ends.
package filelock
