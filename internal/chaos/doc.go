// Package chaos marks places where tests have the daemon panic. As it is shipped they do
// nothing and cost nothing; a build with the tag "chaos" panics there by chance, as the
// environment asks for.
package chaos
