package commands

// Role is what a user may do. Each role includes the ones below it.
type Role int

// The roles. The zero Role is none of them: a command that names no role does
// not register, and a user without one may do nothing.
const (
	NoRole   Role = iota
	Viewer        // looks
	Operator      // changes the pools
	Admin         // changes the cluster and its admin port
)

func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	default:
		return "none"
	}
}
