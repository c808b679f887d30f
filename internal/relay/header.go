package relay

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// header tells where a connection comes from and to, in a version of the PROXY
// protocol (haproxy.org, proxy-protocol.txt §2.1 and §2.2); nil: without one. A client
// at a unix socket has no address.
func header(version string, from, to net.Addr) []byte {
	src, dst := addrPort(from), addrPort(to)
	known := src.IsValid() && dst.IsValid()
	four := known && src.Addr().Is4() && dst.Addr().Is4()
	switch {
	case version == "v1" && !known:
		return []byte("PROXY UNKNOWN\r\n")
	case version == "v1" && four:
		return fmt.Appendf(nil, "PROXY TCP4 %s %s %d %d\r\n", src.Addr(), dst.Addr(), src.Port(), dst.Port())
	case version == "v1":
		return fmt.Appendf(nil, "PROXY TCP6 %s %s %d %d\r\n", mapped(src), mapped(dst), src.Port(), dst.Port())
	case version != "v2":
		return nil
	}
	var addrs []byte
	command, family := byte(0x21), byte(0x21) // PROXY, TCP over IPv6
	switch {
	case !known:
		command, family = 0x20, 0x00 // LOCAL
	case four:
		family = 0x11
		addrs = append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	default:
		a, b := src.Addr().As16(), dst.Addr().As16()
		addrs = append(a[:], b[:]...)
	}
	if known {
		addrs = binary.BigEndian.AppendUint16(addrs, src.Port())
		addrs = binary.BigEndian.AppendUint16(addrs, dst.Port())
	}
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return append(binary.BigEndian.AppendUint16(h, uint16(len(addrs))), addrs...)
}

// addrPort is the address of a TCP connection, an IPv4 one as such.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// mapped is the address as one of IPv6.
func mapped(a netip.AddrPort) netip.Addr { return netip.AddrFrom16(a.Addr().As16()) }
