# Shows what "go test" writes, and once more at the end what failed, each with the
# first line that says why. Its status is that of go test, whose last line here is
# "status N".
function failed(text) { reasons[++n] = text; name = "" }

/^status [0-9]+$/ { status = $2; next }
{ print; fflush() }
/^ *--- FAIL: / { if (!index($3, name "/")) failed(name); name = $3; next }
name != "" { sub(/^ +/, ""); failed(name ": " $0); next }
/^panic: / { failed($0) }
/^FAIL\t.*\[(build|setup) failed\]/ { failed($2 ": does not build") }

END {
	for (i = 1; i <= n; i++) if (reasons[i] != "") print (i == 1 ? "\n" : "") "failed: " reasons[i]
	exit status
}
