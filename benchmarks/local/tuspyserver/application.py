"""tuspyserver on FastAPI, as its documents set it up. Run by uvicorn, in an environment of its own."""

import os

import fastapi
import tuspyserver

app = fastapi.FastAPI()
app.include_router(tuspyserver.create_tus_router(prefix="files", files_dir=os.environ["UPLOAD_FOLDER"]))
