package visitor

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// serverMode has this test program be the other side of a benchmark, so that
// its time and memory are not counted: "banner" greets and closes, "silent"
// says nothing.
const serverMode = "VISITOR_TEST_SERVER"

const banner = "SSH-2.0-Example_1.0\r\n"

// runServer serves until its standard input ends.
func runServer(mode string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		kept := map[net.Conn]bool{} // or they would be closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if mode == "silent" {
				kept[c] = true
				continue
			}
			io.WriteString(c, banner)
			c.Close()
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestMain(m *testing.M) {
	if mode := os.Getenv(serverMode); mode != "" {
		if err := runServer(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
