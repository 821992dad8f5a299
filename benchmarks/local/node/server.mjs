// @tus/server on @tus/file-store, as its documents set it up. Arguments: port, folder.
import { createServer } from "node:http"
import { FileStore } from "@tus/file-store"
import { Server } from "@tus/server"

const [port, directory] = process.argv.slice(2)
const tus = new Server({ path: "/files", datastore: new FileStore({ directory }) })
createServer((request, response) => tus.handle(request, response)).listen(Number(port), "127.0.0.1")
