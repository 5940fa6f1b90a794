module github.com/zcrx/zcrx

go 1.24.0
