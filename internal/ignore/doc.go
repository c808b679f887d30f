// Package ignore tells by patterns, as gitignore(5) has them, which files are left
// out. The last pattern that matches decides, and what is below a directory that is
// left out is left out, too.
package ignore
