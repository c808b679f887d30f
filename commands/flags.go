package commands

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// argument marks a word that is not a flag although it begins with a dash. It
// cannot come in, for [Parse] refuses NUL.
const argument = "\x00"

// noFlags is for commands that take arguments only.
func noFlags(*pflag.FlagSet) {}

func newFlags(name string, declare func(*pflag.FlagSet)) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SortFlags = false
	if declare != nil {
		declare(flags)
	}
	return flags
}

// parseFlags takes the declared flags out of c.Args.
func (c *Call) parseFlags(declare func(*pflag.FlagSet)) error {
	flags := newFlags(c.Args[0], declare)
	err := flags.Parse(keepNumbers(flags, joinTimes(flags, c.Args[1:])))
	if errors.Is(err, pflag.ErrHelp) {
		return Usagef("%s: unknown flag -h", c.Args[0])
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok && bad.GetFlag().Value.Type() == "duration" {
		return Usagef("--%s %q: write it with a unit, as in 5s or 1m30s", bad.GetFlag().Name, bad.GetValue())
	}
	if err != nil {
		return Usagef("%s: %w", c.Args[0], err)
	}
	args := []string{c.Args[0]}
	for _, word := range flags.Args() {
		args = append(args, strings.TrimPrefix(word, argument))
	}
	c.Args, c.flags = args, flags
	return nil
}

// keepNumbers marks words like -9 as arguments, but for the values of flags.
func keepNumbers(flags *pflag.FlagSet, words []string) []string {
	marked := make([]string, len(words))
	value := false // the word is the value of the flag before it
	for i, word := range words {
		marked[i] = word
		if word == "--" && !value {
			copy(marked[i:], words[i:])
			return marked
		}
		if !value && isNegative(word) {
			marked[i] = argument + word
		}
		value = !value && wantsValue(flags, word)
	}
	return marked
}

// joinTimes gives a flag that may stand alone the time that follows it: pflag
// would take "--watch 5s" for the flag and an argument.
func joinTimes(flags *pflag.FlagSet, words []string) []string {
	var joined []string
	for i := 0; i < len(words) && words[i] != "--"; i++ {
		word := words[i]
		flag := flags.Lookup(strings.TrimPrefix(word, "--"))
		if flag != nil && mayStandAlone(flag) && strings.HasPrefix(word, "--") && i+1 < len(words) {
			if _, err := time.ParseDuration(words[i+1]); err == nil {
				i++
				word += "=" + words[i]
			}
		}
		joined = append(joined, word)
	}
	if i := slices.Index(words, "--"); i >= 0 {
		joined = append(joined, words[i:]...)
	}
	return joined
}

// mayStandAlone reports whether a flag takes a time, or none.
func mayStandAlone(flag *pflag.Flag) bool {
	return flag.Value.Type() == "duration" && flag.NoOptDefVal != ""
}

func isNegative(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9'
}

func wantsValue(flags *pflag.FlagSet, word string) bool {
	name, ok := strings.CutPrefix(word, "--")
	if !ok {
		return false
	}
	flag := flags.Lookup(name) // nil with "=": the value is there already
	return flag != nil && flag.NoOptDefVal == ""
}

// takeGlobal takes --json and --help out of words, up to a word --.
func takeGlobal(words []string) (rest []string, json, help bool) {
	rest = make([]string, 0, len(words))
	for i, word := range words {
		switch word {
		case "--":
			return append(rest, words[i:]...), json, help
		case "--json":
			json = true
		case "--help":
			help = true
		default:
			rest = append(rest, word)
		}
	}
	return rest, json, help
}
