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

	HandlerMail     = HandlerPrefix + "mail"      // answers with MailInfo as JSON
	HandlerMailSend = HandlerPrefix + "mail send" // the worker of the first argument sends to the second what is the third, within the time of the fourth

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
	Failed  string        `json:"failed,omitempty"` // why the last reload of it here was taken back
	// Failures counts the reloads that were taken back since its process was started.
	Failures int `json:"failures,omitempty"`
	Cooling  int `json:"cooling,omitempty"` // sets of handlers that were replaced and still answer requests
}

// MailInfo is the mail of a worker, as `mail list` shows it.
type MailInfo struct {
	Open     bool          `json:"open"`     // it has a mailbox
	Sending  int           `json:"sending"`  // messages it has sent that are not handled yet
	Queued   int           `json:"queued"`   // received, and not in hand
	InHand   int           `json:"in_hand"`  // received, neither done nor refused nor put back
	Since    time.Duration `json:"since"`    // how long the oldest has been in hand
	Handled  uint64        `json:"handled"`  // with those that were refused
	Refused  uint64        `json:"refused"`  // see Message.Fail of package worker
	Repeated uint64        `json:"repeated"` // that a process which was killed may have handled
}
