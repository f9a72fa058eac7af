//go:build (faultpoints || integration) && linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk is an ext4 file system on a loop device that can be shut down as by a
// power cut: what its files, names and journal hold only in memory is lost, by
// the call that the file system's own crash tests use. What had been handed to
// the device is not taken back: caches of disks that forget are not part of this.
type disk struct {
	t            *testing.T
	image, mount string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a loop device")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk"), mount: t.TempDir()}
	f, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(f.Truncate(512<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", "-e", "remount-ro", d.image)
	d.plug()
	t.Cleanup(func() { d.run("umount", d.mount) })
	return d
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (d *disk) plug() { d.run("mount", "-o", "loop", d.image, d.mount) }

// replug mounts what a cut has left: the journal is replayed.
func (d *disk) replug() {
	d.t.Helper()
	d.run("umount", "-l", d.mount) // lazily, as somebody may just be reading
	d.settle()
	d.plug()
}

// shutDown cuts the power: it is EXT4_IOC_SHUTDOWN without writing the journal out.
func (d *disk) shutDown() {
	const (
		shutdown   = 0x8004587d // _IOR('X', 125, __u32)
		noLogFlush = 2
	)
	f, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
	if err := errors.Join(err, f.Close()); err != nil {
		d.t.Fatalf("shut the file system down: %v", err)
	}
}

// fail lets the kernel find an error in the file system, and make it read-only
// under whoever writes to it.
func (d *disk) fail() {
	d.t.Helper()
	out, err := exec.Command("findmnt", "-n", "-o", "SOURCE", d.mount).Output()
	if err == nil {
		name := filepath.Base(strings.TrimSpace(string(out)))
		err = os.WriteFile(filepath.Join("/sys/fs/ext4", name, "trigger_fs_error"), []byte("test"), 0)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// settle waits until the loop device lets go of the image.
func (d *disk) settle() {
	for range 6000 { // a minute: other mount namespaces may hold it for a while
		out, err := exec.Command("losetup", "-j", d.image).Output()
		if err == nil && len(out) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond) // nobody tells
	}
	d.t.Fatal("the loop device does not let go of its file")
}

// TestPowerCutTakesWhatWasNotSynced: else the campaign over it proves nothing.
func TestPowerCutTakesWhatWasNotSynced(t *testing.T) {
	d := newDisk(t)
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(d.mount, name))
		if err == nil {
			_, err = f.WriteString("text")
		}
		if err == nil && sync {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("synced", true)
	write("lost", false)
	d.shutDown()
	d.replug()
	if text, err := os.ReadFile(filepath.Join(d.mount, "synced")); string(text) != "text" {
		t.Errorf("what was synced: %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(d.mount, "lost")); err == nil && len(text) > 0 {
		t.Errorf("what was not synced is still there: %q", text)
	}
}
