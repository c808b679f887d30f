package main

import (
	"encoding/binary"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnectionsOfThisProcess(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	held, err := connections(os.Getpid())
	if err != nil || !held[ln.Addr().String()] || held[ours.LocalAddr().String()] {
		t.Errorf("before it is accepted: %v, %v", held, err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if held, err = connections(os.Getpid()); err != nil || !held[ours.LocalAddr().String()] {
		t.Errorf("after that: %v, %v", held, err)
	}
}

func TestParseTCP(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the table is one of a little-endian machine")
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	const table = head +
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0\n" +
		"   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0 20 4 30 10 -1\n" +
		"   2: 0100007F:1F90 0100007F:C351 06 00000000:00000000 03:00001000 00000000     0        0 0 3 0\n"
	got, err := parseTCP([]byte(table))
	if diff := cmp.Diff(map[string]string{"101": "127.0.0.1:50000"}, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	for _, bad := range []string{"   0: 0100007F:1F90\n", "   0: 0100007F:1F90 0100007:C350 01 0 0 0 0 0 0 1\n", "   0: 0100007F:1F90 0100007F:1C350 01 0 0 0 0 0 0 1\n"} {
		if got, err := parseTCP([]byte(head + bad)); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

func TestARequestIsBegunOnce(t *testing.T) {
	j := newJournal(func() {})
	a := &accessLog{lines: make([]string, keptLines), last: make(map[string]int)}
	begin := func(id string) {
		a.read("time=T level=INFO msg=begin worker=web/0 pid=7 remote=127.0.0.1:5 id="+id+" method=GET path=/", j)
	}
	begin("each-3-1")
	begin("each-3-2")
	begin("kept-3-1")
	if j.failed() {
		t.Errorf("new requests: %q", j.wrongs)
	}
	if got := a.of("each-3-2", ""); len(got) != 1 {
		t.Errorf("lines of one request: %q", got)
	}
	begin("each-3-2")
	if !j.failed() {
		t.Error("one was begun twice, and nobody minds")
	}
}
