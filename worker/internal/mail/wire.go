package mail

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// MaxData is the size of the largest message.
const MaxData = 512 << 10

// A frame is the size of what follows its first four bytes, big endian, then a kind,
// a number and data.
type frame struct {
	kind kind
	seq  uint64
	data []byte
}

type kind byte

const (
	message  kind = 'm' // sender
	repeated kind = 'r' // sender: a message that a receiver of another line may have handled
	handled  kind = 'h' // receiver: all up to this number
	failed   kind = 'f' // receiver: this one; the data is a control.Error
	closing  kind = 'c' // receiver: it took up nothing of what it has not answered
)

const (
	sizeBytes  = 4
	headBytes  = 1 + 8
	frameBytes = sizeBytes + headBytes
)

func writeFrame(w *bufio.Writer, k kind, seq uint64, data []byte) error {
	var head [frameBytes]byte
	binary.BigEndian.PutUint32(head[:], uint32(headBytes+len(data)))
	head[sizeBytes] = byte(k)
	binary.BigEndian.PutUint64(head[sizeBytes+1:], seq)
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// readFrame reads one; io.EOF means that the stream ended between two.
func readFrame(r *bufio.Reader) (frame, error) {
	var head [frameBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < headBytes || size > headBytes+MaxData {
		return frame{}, fmt.Errorf("mail: a frame of %d bytes", size)
	}
	f := frame{kind: kind(head[sizeBytes]), seq: binary.BigEndian.Uint64(head[sizeBytes+1:])}
	if size > headBytes {
		f.data = make([]byte, size-headBytes)
	}
	if _, err := io.ReadFull(r, f.data); err != nil {
		return frame{}, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return f, nil
}

// maxError is how long the text of an error may be: a receiver keeps some for each
// sender.
const maxError = 1 << 10

func encodeError(err error) []byte {
	e := ipc.FailureOf(err)
	if len(e.Message) > maxError {
		e.Message = e.Message[:maxError] + "…"
	}
	data, encodeErr := ipc.Encode(e)
	if encodeErr != nil || len(data) > 4*maxError {
		return nil // the sender learns that it failed
	}
	return data
}

func (f frame) err() error {
	e := &control.Error{Code: control.ErrInternal.Code, Message: "the receiver could not tell why"}
	if len(f.data) > 0 {
		if err := ipc.Decode(f.data, e); err != nil {
			return fmt.Errorf("mail: %w", err)
		}
	}
	return e
}
