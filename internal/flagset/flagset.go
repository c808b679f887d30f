package flagset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// argument marks a word that begins with a dash and is not a flag. It cannot be
// typed: a line with NUL is refused.
const argument = "\x00"

// New returns the flags that declare declares; nil declares none.
func New(name string, declare func(*pflag.FlagSet)) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SortFlags = false
	if declare != nil {
		declare(flags)
	}
	return flags
}

// Parse takes the flags out of the words that follow the command's name and
// returns the arguments. Errors are for the user.
func Parse(flags *pflag.FlagSet, words []string) ([]string, error) {
	if err := flags.Parse(keepNumbers(flags, joinTimes(flags, words))); err != nil {
		return nil, plainError(flags.Name(), err)
	}
	args := flags.Args()
	for i, word := range args {
		args[i] = strings.TrimPrefix(word, argument)
	}
	return args, nil
}

// plainError is an error of pflag in plain words.
func plainError(command string, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return fmt.Errorf("%s: unknown flag: -h", command)
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("%s: unknown flag: -%s", command, unknown.GetSpecifiedShortnames())
	}
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return fmt.Errorf("%s: %w", command, err)
	}
	why := bad.Unwrap()
	switch bad.GetFlag().Value.Type() {
	case "duration":
		why = errors.New("write it with a unit, as in 5s or 1m30s")
	case "int":
		why = errors.New("not a whole number")
	}
	return fmt.Errorf("--%s %q: %w", bad.GetFlag().Name, bad.GetValue(), why)
}

// keepNumbers marks words like -9 as arguments, except values of flags.
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
		value = !value && WantsValue(flags, word)
	}
	return marked
}

// joinTimes joins a flag that may stand alone with the time that follows it:
// pflag would take "--watch 5s" for a flag and an argument.
func joinTimes(flags *pflag.FlagSet, words []string) []string {
	var joined []string
	for i := 0; i < len(words) && words[i] != "--"; i++ {
		word := words[i]
		flag := flags.Lookup(strings.TrimPrefix(word, "--"))
		if flag != nil && StandsAlone(flag) && strings.HasPrefix(word, "--") && i+1 < len(words) {
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

// StandsAlone reports whether a flag may be given with or without a time:
// "--watch 5s" and "--watch".
func StandsAlone(flag *pflag.Flag) bool {
	return flag.Value.Type() == "duration" && flag.NoOptDefVal != ""
}

func isNegative(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9'
}

// WantsValue reports whether the word after word is the value of a flag.
func WantsValue(flags *pflag.FlagSet, word string) bool {
	name, ok := strings.CutPrefix(word, "--")
	if !ok {
		return false
	}
	flag := flags.Lookup(name) // nil with "=": the value is there already
	return flag != nil && flag.NoOptDefVal == ""
}
