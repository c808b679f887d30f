// A web server of six lines that takes its socket as from systemd.
const server = require('http').createServer((request, response) => {
  response.end(`hello from node, worker ${process.env.NORESTART_SLOT}, pid ${process.pid}\n`)
})
server.listen({ fd: 3 }) // the first of LISTEN_FDS
process.on('SIGTERM', () => server.close(() => process.exit(0))) // answer what was accepted, then end
