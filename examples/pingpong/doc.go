// Package pingpong compares journals of messages: what senders know to be handled
// with what receivers have handled. The program ./pingpong writes them while its
// workers are replaced and its primary is killed; ./pingpong-check compares them
// alone.
package pingpong
