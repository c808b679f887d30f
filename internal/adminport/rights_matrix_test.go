package adminport

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// rights of a user in the matrix, and which commands they should let through.
type matrixUser struct {
	name        string
	role        commands.Role
	allow, deny []string
	may         func(c *commands.Command) bool
}

func matrixUsers() []matrixUser {
	byRole := func(role commands.Role) func(*commands.Command) bool {
		return func(c *commands.Command) bool { return c.Role <= role }
	}
	session := []string{"help", "?", "whoami", "version", "exit", ".exit", "quit", "clear", "history"}
	return []matrixUser{
		{name: "viewer", role: commands.Viewer, may: byRole(commands.Viewer)},
		{name: "operator", role: commands.Operator, may: byRole(commands.Operator)},
		{name: "admin", role: commands.Admin, may: byRole(commands.Admin)},
		{
			name: "limited operator", role: commands.Operator,
			allow: []string{"worker *", "stop *", "foo *"}, deny: []string{"worker stop", "exit"},
			may: func(c *commands.Command) bool {
				worker := strings.HasPrefix(c.Name, "worker ") && c.Name != "worker stop"
				return worker || c.Name == "foo" || slices.Contains(session, c.Name) && c.Name != "exit"
			},
		},
	}
}

// matrixModes are the ways in which a line reaches the shell.
var matrixModes = []struct {
	name string
	run  func(f *fixture, lines []string)
}{
	{"exec", func(f *fixture, lines []string) {
		client := f.dial(f.withKey("carla", f.viola))
		for _, line := range lines {
			f.session(client, line, "", nil)
		}
	}},
	{"stdin script", func(f *fixture, lines []string) {
		client := f.dial(f.withKey("carla", f.viola))
		for _, line := range lines { // a session each: a script stops at its first error
			f.session(client, "", line+"\n", nil)
		}
	}},
	{"shell", func(f *fixture, lines []string) {
		client := f.dial(f.withKey("carla", f.viola))
		f.session(client, "", strings.Join(lines, "\r")+"\r\x04", withPty)
	}},
	{"TLS", func(f *fixture, lines []string) {
		c := f.tls()
		c.send("pw\n" + strings.Join(lines, "\n") + "\n")
		if err := c.conn.CloseWrite(); err != nil {
			f.t.Fatal(err)
		}
		c.rest()
	}},
	{"command= key", func(f *fixture, lines []string) {
		carla, _ := f.users.Lookup("carla")
		for _, line := range lines {
			forced := carla
			forced.Keys = []string{fmt.Sprintf("command=%q %s", line, authorizedKey(f.viola))}
			f.users.set(forced)
			client := f.dial(f.withKey("carla", f.viola))
			f.session(client, "something else", "", nil)
			client.Close()
		}
		f.users.set(carla)
	}},
}

// Every command that there is, by every role and by a user who is limited, in
// every way in: what the role does not let through is refused, and written down.
// A command that is added later is in here by itself.
func TestD1_role_matrix(t *testing.T) {
	for _, mode := range matrixModes {
		t.Run(mode.name, func(t *testing.T) {
			f := start(t, Config{TLSUser: "carla"})
			all := slices.DeleteFunc(f.srv.registry.Visible(commands.Admin), func(c *commands.Command) bool {
				return mode.name == "shell" && c.Name == "?" // at a prompt it is a key
			})
			var lines []string
			for _, c := range all {
				lines = append(lines, c.Name+" --help") // what is let through does nothing
			}
			for _, user := range matrixUsers() {
				f.users.set(users.User{
					Name: "carla", Role: user.role.String(), Password: cheapHash("pw"),
					Keys: []string{authorizedKey(f.viola)}, Allow: user.allow, Deny: user.deny,
				})
				want := map[string]audit.Event{}
				for _, c := range all {
					want[c.Name] = audit.EventDenied
					if user.may(c) {
						want[c.Name] = audit.EventStart
					}
				}
				before := len(f.audit.all())
				mode.run(f, lines)
				if diff := cmp.Diff(want, f.outcomes(before)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", user.name, diff)
				}
			}
		})
	}
}

// outcomes are what became of each command since then.
func (f *fixture) outcomes(since int) map[string]audit.Event {
	got := map[string]audit.Event{}
	for _, r := range f.audit.all()[since:] {
		if r.Event != audit.EventStart && r.Event != audit.EventDenied && r.Event != audit.EventInvalid {
			continue
		}
		name := strings.TrimSuffix(strings.Join(r.Argv, " "), " --help")
		if r.Event == audit.EventInvalid {
			name = r.Line
		}
		if _, twice := got[name]; twice {
			f.t.Errorf("%s: told twice", name)
		}
		got[name] = r.Event
	}
	return got
}
