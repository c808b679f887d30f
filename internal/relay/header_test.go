package relay

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestHeader has the examples of proxy-protocol.txt §2.1, and §2.2 byte by byte.
func TestHeader(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	for _, tt := range []struct {
		version  string
		from, to net.Addr
		want     string
	}{
		{"", tcp("192.168.0.1:56324"), tcp("192.168.0.11:443"), ""},
		{"v1", tcp("192.168.0.1:56324"), tcp("192.168.0.11:443"), "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"},
		{"v1", tcp("[::ffff:192.168.0.1]:56324"), tcp("[::ffff:192.168.0.11]:443"), "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"},
		{"v1", tcp("[2001:db8::1]:1"), tcp("[2001:db8::2]:65535"), "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"},
		{"v1", &net.UnixAddr{}, &net.UnixAddr{Name: "/run/x"}, "PROXY UNKNOWN\r\n"},
		{"v2", tcp("192.168.0.1:56324"), tcp("192.168.0.11:443"), signature + "\x21\x11\x00\x0c\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"},
		{"v2", tcp("[::1%lo]:1"), tcp("[::2]:2"), signature + "\x21\x21\x00\x24" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x02"},
		{"v2", &net.UnixAddr{}, &net.UnixAddr{}, signature + "\x20\x00\x00\x00"},
	} {
		if d := cmp.Diff(tt.want, string(header(tt.version, tt.from, tt.to))); d != "" {
			t.Errorf("%s of %v (-want +got):\n%s", tt.version, tt.from, d)
		}
	}
}
