package users

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Key is one line of [User.Keys], parsed: authorized_keys of sshd(8),
// AUTHORIZED_KEYS FILE FORMAT. Without options the key lets its user in from
// anywhere, for ever, with all rights of the user.
type Key struct {
	Bare    string    // TYPE BASE64 [COMMENT]: the line without its options
	From    *Sources  // nil: from anywhere
	Expires time.Time // the key is not accepted from then on; zero: never
	NoPty   bool

	Forced  bool // Command runs in place of the requested one
	Command string
}

// Admits reports whether the key is accepted from addr at now.
func (k Key) Admits(addr netip.Addr, now time.Time) bool {
	return (k.From == nil || k.From.Match(addr)) && (k.Expires.IsZero() || now.Before(k.Expires))
}

// SameRights reports whether both keys give the same rights.
func (k Key) SameRights(other Key) bool {
	return k.NoPty == other.NoPty && k.Forced == other.Forced && k.Command == other.Command
}

// ParseKey parses a line. [CheckKey] checks the key itself. An unknown option
// is an error, and so is one that this program would not enforce.
func ParseKey(line string) (Key, error) {
	line = strings.Trim(line, " \t")
	switch {
	case isKeyType(line):
		return Key{Bare: line}, nil
	case strings.HasPrefix(line, "-----BEGIN"):
		return Key{}, errors.New("a private key: name the public one, FILE.pub")
	}
	options, rest, err := cutOptions(line)
	if err != nil {
		return Key{}, err
	}
	k := Key{Bare: strings.TrimLeft(rest, " \t")}
	if !isKeyType(k.Bare) {
		return Key{}, errors.New("not a public key in the form of authorized_keys: [OPTIONS] TYPE BASE64 [COMMENT]")
	}
	seen := map[string]bool{}
	for _, o := range options {
		if err := k.set(o, seen); err != nil {
			return Key{}, err
		}
		seen[o.name] = true
	}
	return k, nil
}

// isKeyType reports whether the line begins with the type of a key. No option
// of sshd(8) begins like one.
func isKeyType(line string) bool {
	return strings.HasPrefix(line, "ssh-") || strings.HasPrefix(line, "ecdsa-") || strings.HasPrefix(line, "sk-")
}

type option struct {
	name, value string
	valued      bool // written with a value
}

// cutOptions splits the options from the rest of a line. They end at the first
// blank outside quotes; in quotes \" is a quote.
func cutOptions(line string) (list []option, rest string, err error) {
	for {
		var o option
		end := strings.IndexAny(line, ", \t=\"")
		if end < 0 {
			return nil, "", errors.New("no key after the options")
		}
		o.name, line = strings.ToLower(line[:end]), line[end:]
		if value, ok := strings.CutPrefix(line, "="); ok {
			o.valued = true
			if o.value, line, err = cutQuoted(o.name, value); err != nil {
				return nil, "", err
			}
		}
		if o.name == "" {
			return nil, "", errors.New("an option is empty: options are separated by one comma and no blanks")
		}
		list = append(list, o)
		switch {
		case line != "" && line[0] == ',':
			line = line[1:]
		case line != "" && (line[0] == ' ' || line[0] == '\t'):
			return list, line, nil
		default:
			return nil, "", fmt.Errorf("option %s: a comma or a blank must follow it", clip(o.name))
		}
	}
}

// cutQuoted splits a value in quotes from what follows it.
func cutQuoted(name, text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", fmt.Errorf(`option %s: the value must be in quotes: %s="…"`, clip(name), clip(name))
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], nil
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", fmt.Errorf("option %s: the quote is not closed", clip(name))
}

// always are the options that forbid what is never possible here anyway.
var always = []string{"no-agent-forwarding", "no-port-forwarding", "no-user-rc", "no-x11-forwarding"}

// unwanted are the options that promise something that this program does not do.
var unwanted = map[string]string{
	"verify-required":   "a PIN or fingerprint (user verification) cannot be checked here, only touch",
	"no-touch-required": "touch is always required: leave the option out",
	"cert-authority":    "a key of a CA goes into keys of the table [ssh_ca]",
	"principals":        "it is for keys of a CA, and there the principal is the user's name",
	"environment":       "keys set no environment here",
	"agent-forwarding":  "there is no agent forwarding here: leave the option out",
	"port-forwarding":   "there is no port forwarding here: leave the option out",
	"x11-forwarding":    "there is no X11 forwarding here: leave the option out",
	"permitopen":        "there is no port forwarding here: leave the option out",
	"permitlisten":      "there is no port forwarding here: leave the option out",
	"tunnel":            "there are no tunnels here: leave the option out",
	"user-rc":           "there is no ~/.ssh/rc here: leave the option out",
}

func (k *Key) set(o option, seen map[string]bool) error {
	if why, ok := unwanted[o.name]; ok {
		return fmt.Errorf("option %s is refused: %s", o.name, why)
	}
	switch o.name {
	case "from", "command", "expiry-time":
		if seen[o.name] {
			return fmt.Errorf("option %s is given twice", o.name)
		}
		if err := k.setValue(o); err != nil {
			return fmt.Errorf("option %s: %w", o.name, err)
		}
		return nil
	}
	switch { // in order, as in sshd: "restrict,pty" has a terminal, "pty,restrict" has none
	case o.name == "restrict", o.name == "no-pty":
		k.NoPty = true
	case o.name == "pty":
		k.NoPty = false
	case !slices.Contains(always, o.name):
		return fmt.Errorf("unknown option %q", clip(o.name))
	}
	if o.valued {
		return fmt.Errorf("option %s takes no value", o.name)
	}
	return nil
}

func (k *Key) setValue(o option) (err error) {
	if strings.TrimSpace(o.value) == "" {
		return fmt.Errorf(`a value is missing: %s="…"`, o.name)
	}
	switch o.name {
	case "from":
		k.From, err = ParseSources(o.value)
	case "command":
		k.Forced, k.Command = true, o.value
	case "expiry-time":
		k.Expires, err = parseExpiry(o.value)
	}
	return err
}

// parseExpiry reads YYYYMMDD[HHMM[SS]] in the local time of this machine, or,
// with a Z after it, in UTC.
func parseExpiry(s string) (time.Time, error) {
	digits, zone := s, time.Local
	if d, ok := strings.CutSuffix(s, "Z"); ok {
		digits, zone = d, time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) != len(layout) {
			continue
		}
		if t, err := time.ParseInLocation(layout, digits, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write YYYYMMDD[HHMM[SS]][Z]", clip(s))
}

func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
