// Package fault names the instants at which a crash would be hardest to
// survive, so that a test can make one happen there.
//
// Built without the tag faultpoints, [Point] and [Armed] do nothing and are
// inlined away. With it, the environment variable SONDE_FAULT="name" or
// "name:n" makes the first or n-th pass through that point kill the own
// process by SIGKILL: nothing is flushed, no deferred call runs. With ":hang" at
// the end of the value the caller stands still for ever instead.
package fault

// Variable is the environment variable that arms one point.
const Variable = "SONDE_FAULT"

// Names lists every point of the program in the order of the way of the data.
func Names() []string {
	return []string{
		"store.migrate.before",  // an older schema, or none yet; its backup is made
		"store.migrate.commit",  // all statements of the step ran, not committed
		"store.migrate.after",   // the step is committed
		"visit.open.before",     // a loop of the visits is about to open a socket
		"sweep.packet.before",   // a sweep by packets is about to ask a host
		"store.apply.before",    // a batch arrived, no transaction yet
		"store.apply.decided",   // decided, nothing written
		"store.rematch.end",     // all evidence is matched again, not noted
		"store.commit.before",   // all written, not committed
		"store.commit.after",    // committed, the caller does not know yet
		"store.pass.before",     // a pass ended, not recorded
		"store.pass.after",      // recorded and committed
		"store.record.before",   // a sensor event arrived, not recorded
		"store.record.after",    // recorded and committed
		"store.cursor.before",   // a sink delivered, its cursor is behind
		"store.cursor.after",    // its cursor is committed
		"store.trim.done",       // what is too old or too much left, not committed
		"store.vacuum.before",   // committed, its pages are not given back
		"store.vacuum.after",    // some are
		"json.write.before",     // a line is due
		"json.write.short",      // half of a line is written
		"json.write.after",      // the line is written, not synced
		"json.sync.after",       // the line is synced
		"json.compress.written", // the compressed form is synced, under another name
		"json.compress.named",   // both forms are there
		"json.compress.after",   // the plain one is gone
		"json.cursor.before",    // synced, the cursor is behind
		"json.cursor.after",     // the cursor is written
		"json.rotate.before",    // the file is full
		"json.rotate.renamed",   // renamed, no new file yet
		"json.rotate.opened",    // the new file is open and empty
		"syslog.send.before",    // a message is due
		"syslog.send.after",     // the message is sent
		"syslog.cursor.before",  // sent, the cursor is behind
		"syslog.cursor.after",   // the cursor is written
	}
}
