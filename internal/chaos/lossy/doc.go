// Lossy is a program that loses requests when it is reloaded, in the two ways
// that are usual. Chaos has to find it out; it is no example.
//
// A file "drain" in its working directory that says "exit" lets a worker end at
// once when it is to drain; else its drain is plain http.Server.Shutdown, which
// drops what it reads after it began.
package main
