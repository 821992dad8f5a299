"""The server with real clients: tus-js-client in Node and Chromium, tuspy, aiotus."""
