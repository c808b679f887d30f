package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func sessionBlocked(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	blocked, err := call.blocked(ctx)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"blocked": full(blocked)})
	}
	if len(blocked) == 0 {
		call.Printf("no source is blocked\n")
		return nil
	}
	var rows [][]string
	for _, b := range blocked {
		rows = append(rows, []string{b.Source, b.Until.Local().Format(stamp), b.why()})
	}
	return call.Table([]string{"SOURCE", "UNTIL", "WHY"}, rows...)
}

// blocked are the sources that any process of the admin port refuses, the one
// that is refused longest first.
func (c *Call) blocked(ctx context.Context) ([]BlockedInfo, error) {
	lists, err := askShells[[]BlockedInfo](ctx, c, HandlerBlocked)
	if err != nil {
		return nil, err
	}
	blocked := slices.Concat(lists...)
	slices.SortFunc(blocked, func(a, b BlockedInfo) int { return b.Until.Compare(a.Until) })
	seen := map[string]bool{} // a successor was told by those before it
	return slices.DeleteFunc(blocked, func(b BlockedInfo) bool {
		defer func() { seen[b.Source] = true }()
		return seen[b.Source]
	}), nil
}

func (b BlockedInfo) why() string {
	why := fmt.Sprintf("%d failed login%s", b.Failed, plural(b.Failed))
	if len(b.Users) > 0 {
		why += " (" + strings.Join(b.Users, ", ") + ")"
	}
	return why
}

func sessionUnblock(ctx context.Context, call *Call) error {
	words, err := call.Words(1, 1)
	if err != nil {
		return err
	}
	if !isSource(words[0]) {
		return Usagef("%q is not an address as session blocked shows it", words[0])
	}
	counts, err := askShells[int](ctx, call, HandlerUnblock, words[0])
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"source": words[0], "unblocked": sum(counts) > 0})
	}
	if sum(counts) == 0 {
		call.Printf("%s was not blocked\n", Safe(words[0]))
		return nil
	}
	call.Printf("%s may connect again\n", Safe(words[0]))
	return nil
}

func isSource(text string) bool {
	_, notAddr := netip.ParseAddr(text)
	_, notPrefix := netip.ParsePrefix(text)
	return notAddr == nil || notPrefix == nil
}
