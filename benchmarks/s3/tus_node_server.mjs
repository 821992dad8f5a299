// @tus/server on @tus/s3-store, as its documents set it up. Arguments: endpoint, bucket. Prints its port.
import { createServer } from "node:http"
import { S3Store } from "@tus/s3-store"
import { Server } from "@tus/server"

const [endpoint, bucket] = process.argv.slice(2)
const datastore = new S3Store({
  partSize: 8 * 1024 * 1024,
  s3ClientConfig: {
    bucket,
    endpoint,
    forcePathStyle: true,
    region: "us-east-1",
    credentials: {
      accessKeyId: process.env.AWS_ACCESS_KEY_ID,
      secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    },
  },
})
const tus = new Server({ path: "/files", datastore })
const server = createServer((request, response) => tus.handle(request, response))
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
