package policy_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func everything() *policy.Route {
	r := &policy.Route{}
	for _, p := range []string{"0.0.0.0/0", "::/0"} { // wider than Validate would take
		r.Addresses = append(r.Addresses, netip.MustParsePrefix(p))
	}
	return r
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2620:4f:8000::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
	} {
		if err := policy.AddressAllowed(&policy.Route{}, netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestSomeAddressesAreNeverAllowed(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "169.254.0.0", "169.254.169.254", "169.254.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255",
		"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
		"::", "fe80::1", "febf:ffff::1", "ff02::1", "ff0e::1",
		"::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:255.255.255.255",
		"::169.254.169.254",              // IPv4-compatible
		"64:ff9b::169.254.169.254",       // NAT64
		"64:ff9b:1::169.254.169.254",     // local NAT64, 96 bits
		"64:ff9b:1:a9fe:a9:fe00::",       // local NAT64, 48 bits
		"64:ff9b:1:a9:fe:a9fe::",         // local NAT64, 56 bits: 7, 9, 10, 11
		"64:ff9b:1:0:a9:fea9:fe00::",     // local NAT64, 64 bits
		"2002:a9fe:a9fe::1",              // 6to4
		"2001:0:a9fe:a9fe::1",            // Teredo server
		"2001:0:101:101::5601:5601",      // Teredo client, inverted
		"2002:e000:1::", "64:ff9b::ff02", // embed 224.0.0.1 and 0.0.255.2
	} {
		err := policy.AddressAllowed(everything(), netip.MustParseAddr(a))
		if !errors.Is(err, policy.ErrNever) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("2606:4700::1%eth0")} {
		if policy.AddressAllowed(everything(), a) == nil {
			t.Errorf("%v was allowed", a)
		}
	}
}

func TestOtherAddressesAreAllowedOnlyByName(t *testing.T) {
	for _, a := range []string{
		"10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.255", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "255.255.255.254",
		"::1", "::2:0:0", "100::1", "64:ff9b:1::a00:1", "fc00::1", "fdff::1", "fec0::1", "2001:db8::1", "2001:10::1", "2002:0a00:1::", "3fff::1", "5f00::1", "4000::1",
		"::ffff:127.0.0.1",
	} {
		addr := netip.MustParseAddr(a)
		err := policy.AddressAllowed(&policy.Route{}, addr)
		if err == nil || errors.Is(err, policy.ErrNever) {
			t.Errorf("%s without a list: %v", a, err)
		}
		if err := policy.AddressAllowed(everything(), addr); err != nil {
			t.Errorf("%s with a list: %v", a, err)
		}
		one := &policy.Route{Addresses: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16"), netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}}
		if err := policy.AddressAllowed(one, addr); err != nil {
			t.Errorf("%s by name: %v", a, err)
		}
		other := &policy.Route{Addresses: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16")}}
		if policy.AddressAllowed(other, addr) == nil {
			t.Errorf("%s was allowed by the name of another", a)
		}
	}
}

func TestNAT64OfAPrivateAddressIsPrivate(t *testing.T) {
	addr := netip.MustParseAddr("64:ff9b::10.0.0.1")
	if policy.AddressAllowed(&policy.Route{}, addr) == nil {
		t.Errorf("%v was allowed", addr)
	}
	if err := policy.AddressAllowed(&policy.Route{Addresses: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}}, addr); err != nil {
		t.Error(err)
	}
}

func FuzzAddressAllowed(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254})
	f.Add(netip.MustParseAddr("64:ff9b::a9fe:a9fe").AsSlice())
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok || policy.AddressAllowed(&policy.Route{}, addr) != nil {
			return
		}
		if u := addr.Unmap(); !u.IsGlobalUnicast() || u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() {
			t.Fatalf("%v was allowed without a list", addr)
		}
	})
}
