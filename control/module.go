package control

import "time"

// Handlers that every worker of the library has; a name of an application cannot
// begin like theirs.
const (
	HandlerPrefix  = "norestart."
	HandlerModules = HandlerPrefix + "modules" // answers with []ModuleInfo as JSON

	// A reload of modules in all workers has a token, the first argument of each of
	// these; they answer with []ModuleInfo, too.
	HandlerModulePrepare = HandlerPrefix + "module prepare" // of those that the other arguments name, or of all
	HandlerModuleSwitch  = HandlerPrefix + "module switch"  // to what was prepared
	HandlerModuleAbandon = HandlerPrefix + "module abandon" // go on as before

	// The configuration of the application as JSON is the argument of these.
	HandlerConfigCheck = HandlerPrefix + "config check" // would it be applied?
	HandlerConfigApply = HandlerPrefix + "config apply" // the worker has it, or goes on with what it had
)

// ModuleInfo is a module of a worker, as `module list` shows it.
type ModuleInfo struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	From    string        `json:"from,omitempty"` // the version that made the state with which it began; empty: it began without one
	Reloads int           `json:"reloads"`        // that its state has seen
	Last    time.Duration `json:"last"`           // in which its hook read the state
	Pause   time.Duration `json:"pause"`          // in which requests waited meanwhile
	Size    int64         `json:"state_bytes"`
	Failed  string        `json:"failed,omitempty"`  // why the last reload of it here was taken back
	Cooling int           `json:"cooling,omitempty"` // sets of handlers that were replaced and still answer requests
}
