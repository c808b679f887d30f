package control

// Version is the version of norestart.
const Version = "0.1.0"
