# Compiler flags and options. An unknown LUTRA_* option is an error: a misspelt one must not be silent.
set(LUTRA_KNOWN_OPTIONS LUTRA_SANITIZE LUTRA_WERROR LUTRA_FAULTS LUTRA_FUZZ LUTRA_TESTS)
set(LUTRA_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize= (address,undefined | thread)")
option(LUTRA_WERROR "Warnings are errors" ON)
option(LUTRA_FAULTS "Compile the fault points in (tests)" ON)
option(LUTRA_FUZZ "Build the fuzz targets (clang)" OFF)

get_cmake_property(lutra_cache_variables CACHE_VARIABLES)
foreach(variable IN LISTS lutra_cache_variables)
    if(variable MATCHES "^LUTRA_" AND NOT variable IN_LIST LUTRA_KNOWN_OPTIONS)
        message(FATAL_ERROR "unknown option ${variable}; known: ${LUTRA_KNOWN_OPTIONS}")
    endif()
endforeach()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(lutra_flags INTERFACE)
target_compile_definitions(lutra_flags INTERFACE _GNU_SOURCE LUTRA_VERSION="${PROJECT_VERSION}")
target_compile_options(lutra_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wformat=2 -Wswitch-enum -Wvla -Wcast-qual -Wundef -Wpointer-arith -Wwrite-strings
    -fno-omit-frame-pointer -fstack-protector-strong)
if(LUTRA_WERROR)
    target_compile_options(lutra_flags INTERFACE -Werror)
endif()
if(LUTRA_FAULTS)
    target_compile_definitions(lutra_flags INTERFACE LUTRA_FAULTS=1)
endif()
if(LUTRA_SANITIZE)
    target_compile_options(lutra_flags INTERFACE -fsanitize=${LUTRA_SANITIZE}
        -fno-sanitize-recover=undefined)
    target_link_options(lutra_flags INTERFACE -fsanitize=${LUTRA_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_definitions(lutra_flags INTERFACE _FORTIFY_SOURCE=2)
    target_compile_options(lutra_flags INTERFACE -fPIE)
    target_link_options(lutra_flags INTERFACE -pie -Wl,-z,relro,-z,now)
endif()

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
