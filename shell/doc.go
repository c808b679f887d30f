// Package shell is what an application says about its admin port: one listener
// on which operators log in with plain ssh, or with a TLS line shell, and run
// commands, those of the package commands and the application's own.
//
//	norestart.Main(norestart.App{
//		Shell: &shell.Config{Port: 7777, Commands: …},
//	})
//
// The server itself, with its line editor, is internal/adminport.
package shell
