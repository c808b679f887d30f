package handover

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// More types of frames (RFC 9113 §6).
const frameData, frameSettings = 0, 4

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(head, flags), stream), payload...)
}

// TestFramesSend: whatever pieces the server writes its frames in, ours comes
// once, behind a whole frame, and nothing else is changed.
func TestFramesSend(t *testing.T) {
	all, ends := someFrames()
	first := len(frame(frameData, 0, 1, nil))
	for range 500 {
		var f frames
		var got bytes.Buffer
		wanted := rand.IntN(len(all))
		for at := 0; at < len(all); {
			to := min(len(all), at+1+rand.IntN(60))
			if n, err := f.write(&got, all[at:to]); err != nil || n != to-at {
				t.Fatalf("write of %d bytes: %d, %v", to-at, n, err)
			}
			if at <= wanted && wanted < to {
				f.send(&got, noMoreRequests)
			}
			at = to
		}
		place := bytes.Index(got.Bytes(), noMoreRequests)
		rest := bytes.Replace(got.Bytes(), noMoreRequests, nil, 1)
		if !ends[place] || place < first || !bytes.Equal(rest, all) {
			t.Fatalf("wanted at %d of %d, came at %d", wanted, len(all), place)
		}
	}
}

// someFrames are whole frames in a row, and where each of them ends.
func someFrames() (all []byte, ends map[int]bool) {
	ends = make(map[int]bool)
	for range 20 {
		all = append(all, frame(frameData, 0, 1, make([]byte, rand.IntN(3)*rand.IntN(40)))...)
		ends[len(all)] = true
	}
	return all, ends
}

// TestFramesNotBegun: nothing comes before the server's SETTINGS.
func TestFramesNotBegun(t *testing.T) {
	var f frames
	var got bytes.Buffer
	f.send(&got, noMoreRequests)
	if got.Len() > 0 {
		t.Fatalf("%d bytes before the server has begun", got.Len())
	}
	settings := frame(frameSettings, 0, 0, nil)
	if _, err := f.write(&got, settings); err != nil || !bytes.Equal(got.Bytes(), append(settings, noMoreRequests...)) {
		t.Errorf("%v, %x", err, got.Bytes())
	}
}

// TestFramesAfterTheLast: nothing of ours comes behind the server's own GOAWAY,
// also when it waited for the end of a frame.
func TestFramesAfterTheLast(t *testing.T) {
	data, last := frame(frameData, 0, 1, make([]byte, 20)), frame(typeGoAway, 0, 0, make([]byte, 8))
	for name, cut := range map[string]int{"before it": len(data), "within it": len(data) + 4, "after it": len(data) + len(last)} {
		t.Run(name, func(t *testing.T) {
			var f frames
			var got bytes.Buffer
			want := append(bytes.Clone(data), last...)
			_, err := f.write(&got, want[:cut])
			must(t, err)
			f.send(&got, ping)
			_, err = f.write(&got, want[cut:])
			must(t, err)
			f.send(&got, ping)
			if cut == len(data) {
				want = slices.Concat(data, ping, last)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%x\nwant %x", got.Bytes(), want)
			}
		})
	}
}

// TestFramesRead: whatever pieces a client's frames come and are read in, the
// server reads them as they are, but for the answer to our PING.
func TestFramesRead(t *testing.T) {
	all, ends := someFrames()
	other := frame(typePing, 1, 0, []byte("of other"))
	for range 500 {
		var f frames
		f.asked.Store(rand.IntN(4) > 0)
		at := rand.IntN(len(all))
		for !ends[at] {
			at--
			if at < 0 {
				at = len(all)
			}
		}
		answer := pingAnswer
		if f.asked.Load() {
			answer = clientGoes
		}
		want := slices.Concat(all[:at], other, answer, all[at:])
		r := bytes.NewReader(slices.Concat(all[:at], other, pingAnswer, all[at:]))
		from := func(p []byte) (int, error) { return r.Read(p[:min(len(p), 1+rand.IntN(30))]) }
		var got []byte
		for {
			p := make([]byte, 1+rand.IntN(30))
			n, err := f.read(from, p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			must(t, err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("asked %t, answer at %d of %d:\n%x\nwant %x", f.asked.Load(), at, len(all), got, want)
		}
	}
}
