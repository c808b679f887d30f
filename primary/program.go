package primary

import "fmt"

// checkProgram refuses the state of another program that has the same name. The
// next version of a program has the path of the last one (a replaced file, or a
// link that points elsewhere), or its main package (in another directory). If the
// main package is not known, it must be started in the same directory.
func (p *Primary) checkProgram(r *record) error {
	if r == nil || r.Path == "" || r.Path == p.cfg.Binary { // empty: of an earlier version
		return nil
	}
	known := r.Program != "" && p.cfg.Program != ""
	same := r.Program == p.cfg.Program
	if !known {
		same = r.Dir == p.cfg.Dir
	}
	if !same && !p.cfg.Adopt {
		return fmt.Errorf("%s is the state of another program of this name: %s, and this is %s\nhint: give one of them another name (App.Name) or directory (App.Dir); NORESTART_ADOPT=1 lets this one take the state over",
			p.cfg.State, programText(r.Program, r.Path), programText(p.cfg.Program, p.cfg.Binary))
	}
	p.console.say(fmt.Sprintf("the last primary was started as %s, this one as %s", r.Path, p.cfg.Binary))
	return nil
}

func programText(program, path string) string {
	if program == "" {
		return path
	}
	return fmt.Sprintf("%s (package %s)", path, program)
}
