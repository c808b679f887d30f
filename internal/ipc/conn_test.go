package ipc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
)

func TestReceiveTornMessage(t *testing.T) {
	a, b := pair(t)
	want := Data{Data: bytes.Repeat([]byte("x"), 300)}
	data := wire(t, TypeStdin, 0, want)
	go func() { // ends with its last byte
		for i := range data {
			if _, err := a.Write(data[i : i+1]); err != nil {
				return
			}
		}
	}()
	m, err := NewConn(b).Receive(soon)
	must(t, err)
	var got Data
	must(t, m.Decode(&got))
	if d := cmp.Diff(want, got); m.Type != TypeStdin || d != "" {
		t.Errorf("%s (-want +got):\n%s", m.Type, d)
	}
}

func TestReceiveSeveralAtOnce(t *testing.T) {
	a, b := pair(t)
	var data []byte
	want := []string{TypeReady, TypeBeat, TypeClosed}
	for _, kind := range want {
		data = append(data, wire(t, kind, 0, Beat{Connections: len(kind)})...)
	}
	_, err := a.Write(data)
	must(t, err)
	c := NewConn(b)
	var got []string
	var first Message
	for range want {
		m, err := c.Receive(soon)
		must(t, err)
		if first.Type == "" {
			first = m
		}
		got = append(got, m.Type)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("types (-want +got):\n%s", d)
	}
	var beat Beat // the buffer has been used again since
	must(t, first.Decode(&beat))
	if beat.Connections != len(TypeReady) {
		t.Errorf("the first message was overwritten: %+v", beat)
	}
}

func TestTooLarge(t *testing.T) {
	tests := map[string]struct {
		size    int
		trusted bool
		whole   bool
		err     error
	}{
		"fits before the greeting":      {size: HelloLimit - 100, whole: true},
		"too large before the greeting": {size: HelloLimit, whole: true, err: ErrTooLarge},
		"torn before the greeting":      {size: HelloLimit, err: ErrTooLarge},
		"fits after it":                 {size: MessageLimit - 100, trusted: true, whole: true},
		"too large after it":            {size: MessageLimit, trusted: true, whole: true, err: ErrTooLarge},
		"torn after it":                 {size: MessageLimit + HelloLimit, trusted: true, err: ErrTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			c := NewConn(b)
			if test.trusted {
				c.Trust(false)
			}
			data := wire(t, TypeStdin, 0, Data{Data: make([]byte, test.size)})
			if !test.whole {
				data = data[:len(data)-1]
			}
			go func() { _, _ = a.Write(data) }() // ends when the other end is closed
			_, err := c.Receive(soon)
			if !errors.Is(err, test.err) {
				t.Errorf("%v, want %v", err, test.err)
			}
			if limit := 2*c.limit + 8<<10; cap(c.buf) > limit {
				t.Errorf("buffer of %d bytes, want at most %d", cap(c.buf), limit)
			}
			must(t, b.Close())
		})
	}
}

func TestSendTooLarge(t *testing.T) {
	a, b := conns(t)
	if err := a.Send(soon, TypeStdin, Data{Data: make([]byte, MessageLimit)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %v", err, ErrTooLarge)
	}
	must(t, a.Send(soon, TypeReady, nil)) // nothing of it has gone
	m, err := b.Receive(soon)
	must(t, err)
	if m.Type != TypeReady {
		t.Errorf("received %s", m.Type)
	}
}

// file is a descriptor with content, closed with the test.
func file(t *testing.T, content string) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	_, err = unix.Pwrite(fd, []byte(content), 0)
	must(t, err)
	return fd
}

func TestDescriptorsGoWithTheirMessages(t *testing.T) {
	a, b := conns(t)
	b.Trust(true)
	must(t, a.Send(soon, TypeReady, nil))
	must(t, a.Send(soon, TypeSession, Session{Args: []string{strings.Repeat("x", 10_000)}}, file(t, "one"), file(t, "two")))
	must(t, a.Send(soon, TypeSession, nil, file(t, "three")))
	var got [][]string
	for range 3 {
		m, err := b.Receive(soon)
		must(t, err)
		contents := []string{}
		for _, fd := range m.Files() {
			buf := make([]byte, 16)
			n, err := unix.Pread(fd, buf, 0)
			must(t, err)
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a descriptor would be inherited: flags %d, %v", flags, err)
			}
			must(t, unix.Close(fd))
			contents = append(contents, string(buf[:n]))
		}
		got = append(got, contents)
	}
	if d := cmp.Diff([][]string{{}, {"one", "two"}, {"three"}}, got); d != "" {
		t.Errorf("descriptors by message (-want +got):\n%s", d)
	}
}

// sendFiles sends data with n descriptors.
func sendFiles(t *testing.T, c *net.UnixConn, data []byte, n int) {
	t.Helper()
	fds := make([]int, n)
	for i := range fds {
		fds[i] = file(t, "x")
	}
	_, _, err := c.WriteMsgUnix(data, unix.UnixRights(fds...), nil)
	must(t, err)
}

// TestDescriptorsThatNobodyWants: however they come, none stays open.
func TestDescriptorsThatNobodyWants(t *testing.T) {
	type part struct {
		data []byte
		fds  int
	}
	session := func(claimed int) []byte { return wire(t, TypeSession, claimed, nil) }
	for name, test := range map[string]struct {
		parts    []part
		stranger bool
		fails    bool
	}{
		"unclaimed":                 {parts: []part{{wire(t, TypeReady, 0, nil), 3}}},
		"more claimed than came":    {parts: []part{{session(2), 1}}, fails: true},
		"a negative number claimed": {parts: []part{{session(-1), 1}}, fails: true},
		"too many hoarded":          {parts: []part{{[]byte{0xa1}, 40}, {[]byte{0x61}, 40}}, fails: true}, // the beginning of a message
		"too many at once":          {parts: []part{{session(100), 100}}, fails: true},
		"from a stranger":           {parts: []part{{session(1), 1}}, stranger: true, fails: true},
		"discarded":                 {parts: []part{{session(2), 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			c := NewConn(b)
			if !test.stranger {
				c.Trust(true)
			}
			for _, p := range test.parts {
				sendFiles(t, a, p.data, p.fds)
			}
			before := openFDs(t)
			m, err := c.Receive(soon)
			if (err != nil) != test.fails {
				t.Fatalf("receive: %v, want failure: %v", err, test.fails)
			}
			m.Discard()
			must(t, c.Close())
			if _, err := c.Receive(soon); err == nil {
				t.Error("received from a closed conversation")
			}
			if after := openFDs(t); after != before-1 { // the connection itself
				t.Errorf("%d descriptors are open, want %d", after, before-1)
			}
		})
	}
}

// roomFor lets the process open n more descriptors, until the test ends or the
// function that it returns is called.
func roomFor(t *testing.T, n int) (enough func()) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	low := was
	low.Cur = 0
	for free := 0; free <= n; low.Cur++ { // the kernel gives the lowest free number
		if _, err := unix.FcntlInt(uintptr(low.Cur), unix.F_GETFD, 0); err != nil {
			free++
		}
	}
	low.Cur--
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	enough = func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }
	t.Cleanup(enough)
	return enough
}

// TestNoRoomForDescriptors: a message comes without those that do not fit, none
// of them stays open, and the conversation goes on.
func TestNoRoomForDescriptors(t *testing.T) {
	for room := range 4 {
		a, b := conns(t)
		b.Trust(true)
		before := openFDs(t)
		must(t, a.Send(soon, TypeReady, nil))
		must(t, a.Send(soon, TypeDrain, Drain{LameDuck: 7, Deadline: 1 << 40}, 0, 1, 2))
		must(t, a.Send(soon, TypeSession, Session{Args: []string{strings.Repeat("x", 10_000)}}, 0))
		must(t, a.Send(soon, TypeBeat, nil))
		enough := roomFor(t, room)
		var got []Message
		for range 4 {
			m, err := b.Receive(soon)
			if err != nil {
				t.Fatalf("room for %d: %v", room, err)
			}
			got = append(got, m)
		}
		enough()
		fits := room >= 3
		if drain := got[1]; drain.short == fits || (drain.FDs == 3) != fits || (len(drain.files) == 3) != fits {
			t.Errorf("room for %d: %+v", room, drain)
		}
		if session, fits := got[2], room > 0 && room < 3; session.short == fits || len(session.files) != session.FDs {
			t.Errorf("room for %d: %+v", room, session)
		}
		var d Drain
		if err := got[1].Decode(&d); err != nil || d.LameDuck != 7 {
			t.Errorf("room for %d: %+v, %v", room, d, err)
		}
		for i := range got {
			got[i].Discard()
		}
		if after := openFDs(t); after != before {
			t.Errorf("room for %d: %d descriptors are open, want %d", room, after, before)
		}
	}
}

func TestReceiveDeadline(t *testing.T) {
	a, b := pair(t)
	c := NewConn(b)
	if _, err := c.Receive(1e6); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody speaks: %v, want a deadline", err)
	}
	data := wire(t, TypeReady, 0, nil)
	_, err := a.Write(data[:1])
	must(t, err)
	if _, err := c.Receive(1e6); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half a message: %v, want a deadline", err)
	}
	_, err = a.Write(data[1:])
	must(t, err)
	m, err := c.Receive(soon) // a later wait goes on where the first ended
	must(t, err)
	if m.Type != TypeReady {
		t.Errorf("received %s", m.Type)
	}
}

func TestEnd(t *testing.T) {
	whole := wire(t, TypeReady, 0, Beat{Requests: 1 << 40})
	for n := range whole {
		a, b := pair(t)
		_, err := a.Write(append(bytes.Clone(whole), whole[:n]...))
		must(t, err)
		must(t, a.Close())
		c := NewConn(b)
		_, err = c.Receive(soon)
		must(t, err)
		want := io.EOF
		if n > 0 {
			want = io.ErrUnexpectedEOF
		}
		if _, err := c.Receive(soon); err != want {
			t.Errorf("after %d bytes of a message: %v, want %v", n, err, want)
		}
	}
}

// TestPeerDoesNotRead: a message that has gone in part only is the last.
func TestPeerDoesNotRead(t *testing.T) {
	a, b := conns(t)
	b.Trust(false)
	big := Data{Data: make([]byte, MessageLimit/2)}
	var err error
	sent := 0
	for ; err == nil && sent < 100; sent++ {
		err = a.Send(2e7, TypeStdout, big)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after %d messages: %v, want a deadline", sent, err)
	}
	if err := a.Send(soon, TypeReady, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a message after half a message: %v, want %v", err, net.ErrClosed)
	}
	for err = nil; err == nil; {
		var m Message
		if m, err = b.Receive(soon); err == nil && m.Type != TypeStdout {
			t.Fatalf("received %s in the middle of a message", m.Type)
		}
	}
	if err != io.ErrUnexpectedEOF {
		t.Errorf("the peer got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestHandOver(t *testing.T) {
	a, b := pair(t)
	c := NewConn(b)
	_, err := a.Write(append(wire(t, TypeAttach, 0, nil), wire(t, TypeCancel, 0, nil)...))
	must(t, err)
	_, err = c.Receive(soon)
	must(t, err)
	if _, err := c.File(); err == nil {
		t.Error("gave away a conversation of which something was left unread")
	}
	_, err = c.Receive(soon)
	must(t, err)
	f, err := c.File()
	must(t, err)
	defer f.Close()
	must(t, c.Close())
	_, err = f.WriteString("still open")
	must(t, err)
	buf := make([]byte, 16)
	n, err := a.Read(buf)
	if err != nil || string(buf[:n]) != "still open" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestPeer(t *testing.T) {
	a, _ := conns(t)
	cred, err := a.Peer()
	must(t, err)
	if int(cred.Pid) != os.Getpid() || int(cred.Uid) != os.Getuid() {
		t.Errorf("peer %+v", cred)
	}
}

func TestReadBoot(t *testing.T) {
	want := Boot{
		Cluster: "shop", Version: "1", Pool: "web", Slot: 2, Generation: 3, Incarnation: 1 << 60, Secret: []byte{1, 2},
		Run: "/run/x", State: "/var/x", Beat: 1e9, Listeners: []Inherited{{Name: "web", Addr: "tcp://127.0.0.1:80", FD: 4}},
	}
	data, err := Encode(want)
	must(t, err)
	var got Boot
	must(t, ReadBoot(bytes.NewReader(data), &got))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("boot message (-want +got):\n%s", d)
	}
	for n := range data {
		if ReadBoot(bytes.NewReader(data[:n]), &got) == nil {
			t.Fatalf("took %d of %d bytes for a boot message", n, len(data))
		}
	}
}

func FuzzReceive(f *testing.F) {
	for _, trusted := range []bool{false, true} {
		f.Add([]byte{}, trusted)
		f.Add([]byte("\xa1at"), trusted)
		f.Add([]byte("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), trusted)       // an array of 2^64-1
		f.Add([]byte("\xa1at\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"), trusted) // a text of 2^63-1
		f.Add(bytes.Repeat([]byte{0x81}, 5000), trusted)                     // deep
		f.Add(wire(f, TypeHello, 0, Hello{Protocol: Version, Purpose: PurposeControl, Secret: []byte("s")}), trusted)
		f.Add(wire(f, TypeSession, 7, Session{User: "u", Args: []string{"a"}}), trusted)
		f.Add(append(wire(f, TypeReady, 0, nil), wire(f, TypeReply, 0, Reply{Failure: &control.Error{}})...), trusted)
		f.Add(wire(f, TypeMove, 1, Move{Connections: []Moving{{Listener: "web", Read: []byte("GET")}}}), trusted)
		f.Add(wire(f, TypeStdin, 0, Data{Data: make([]byte, HelloLimit)}), trusted)
	}
	f.Fuzz(func(t *testing.T, data []byte, trusted bool) {
		if len(data) > 64<<10 {
			t.Skip("it would not fit into the socket's buffer")
		}
		a, b := pair(t)
		_, err := a.Write(data)
		must(t, errors.Join(err, a.Close()))
		c := NewConn(b)
		if trusted {
			c.Trust(true)
		}
		for {
			m, err := c.Receive(soon)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("it waits for more after the end")
			}
			if err != nil {
				break
			}
			if len(m.Files()) > 0 || len(m.Body) > c.limit {
				t.Fatalf("%d bytes in a message of at most %d, or descriptors from nowhere", len(m.Body), c.limit)
			}
			decodeAll(m)
		}
		if limit := 2*c.limit + 8<<10; cap(c.buf) > limit {
			t.Fatalf("buffer of %d bytes, want at most %d", cap(c.buf), limit)
		}
	})
}

// decodeAll reads a body as everything that it could be: errors are fine.
func decodeAll(m Message) {
	for _, v := range []any{
		new(Hello), new(Welcome), new(Beat), new(Drain), new(Drained), new(Invite), new(Question), new(Session),
		new(Attach), new(Request), new(Reply), new(Data), new(ExitStatus), new(Boot), new(control.Error),
	} {
		_ = m.Decode(v)
	}
}
