// Package control lets people and programs on this machine ask a running sensor
// what it does, and tell it what to do. Nobody who asks can stall the sensor,
// however slow, large or many the requests are.
//
// It speaks HTTP and JSON over two Unix sockets. Who may open the one may read,
// who may open the other may act: the permissions of the socket files decide,
// and nothing else is asked for. A listener on loopback, where who asks is not
// known, tells metrics and health alone. Answers hold no secrets: no key, no
// credential, no path of one.
//
// # Cost
//
// A listener has at most maxConnections, each with deadlines; a request has at
// most maxHeader and maxBody bytes; readsAtOnce of them read the inventory, a page at a time, and
// none holds it while its answer is sent. What must be asked of the sensor's own
// loop is kept for a while, so that it takes at most a twentieth of the loop's
// time.
package control
