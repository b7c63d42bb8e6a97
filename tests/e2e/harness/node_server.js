// An HTTPS server for the tests: one page, which also says whether the session was resumed.
// Arguments: key, certificates, CA, "require" or "ignore" client certificates, file with the page.
'use strict';
const fs = require('fs');
const https = require('https');

const [key, cert, ca, clients, page] = process.argv.slice(2);
const body = fs.readFileSync(page);
const server = https.createServer({
  key: fs.readFileSync(key),
  cert: fs.readFileSync(cert),
  ca: fs.readFileSync(ca),
  requestCert: clients === 'require',
  rejectUnauthorized: clients === 'require',
  ecdhCurve: 'X25519MLKEM768:X25519:P-256',
}, (request, response) => {
  response.setHeader('Content-Type', 'text/html');
  response.setHeader('X-Session-Reused', request.socket.isSessionReused() ? 'yes' : 'no');
  response.end(body);
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
